"""Filling quotas: fetching candidates, inspecting them, keeping the valid ones, remembering every attempt."""
