"""Raw requests and what must come back, whoever answers and however they travel."""
