"""What a run did, for people: the colours and the plain text that every view shares."""
