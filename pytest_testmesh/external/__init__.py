"""Actions of external plugins: processes in any language that speak a small HTTP protocol."""
