"""The test suite; a package so that its builders can be imported by tests."""
