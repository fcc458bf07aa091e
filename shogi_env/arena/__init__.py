"""Any player against any other: matches, their records, ratings, and a scale of strength."""
