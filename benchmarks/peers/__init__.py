"""Other servers, started as programs beside ours."""
