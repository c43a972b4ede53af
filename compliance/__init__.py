"""What must be true, and the proof: catalogue, suites, transport, evidence, audit."""
