"""The rules, in the order of the report: a module each, a question each."""
