"""Profilemill: Amplitude cohorts and events become unified user profiles."""
