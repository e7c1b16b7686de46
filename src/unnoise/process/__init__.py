"""The mathematics of corruption: schedules, closed forms, parametrizations. Imports torch only."""
