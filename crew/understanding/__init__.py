"""From a sentence to blueprints and typed parameters, without a model: what the offline model understands."""
