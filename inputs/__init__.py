"""What people write: YAML files read with file, line and expectation in every complaint.

Every other package may import this one; it imports none of them.
"""
