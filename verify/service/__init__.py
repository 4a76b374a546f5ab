"""The video service for tests and measurements: without cards, and without what renders."""
