"""The benchmarks that come with the package."""
