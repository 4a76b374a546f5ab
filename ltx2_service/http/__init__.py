"""What clients speak with: two APIs, events, health, metrics and the page."""
