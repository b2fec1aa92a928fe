"""Getting images: fetching over HTTP, inspecting pixels, keeping what is valid, filling quotas."""
