"""Some runs of a sweep as data: what they share, what differs, how they ended. Knows neither training nor files."""
