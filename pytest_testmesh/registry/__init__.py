"""The plugins folder as a registry: what is installed, enabled, and how a plugin comes and goes."""
