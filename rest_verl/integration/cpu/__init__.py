"""Everything that lets verl train without an accelerator, and nothing else.

Imported only where the environment says `VERL_PLATFORM=cpu`.
"""
