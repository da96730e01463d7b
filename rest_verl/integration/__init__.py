"""All that verl calls and all that asks verl; the only room that imports it."""
