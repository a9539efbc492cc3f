"""What the scripts share: exit statuses, checks before work, a directory, resume, the sweep from jobs to files."""
