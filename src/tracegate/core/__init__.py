"""Pure rules: what must happen to a request and its reply."""
