"""Pure rules: which clip is next, what a request means, how long it will take."""
