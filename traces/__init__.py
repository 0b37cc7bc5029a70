"""One trace a run: names, spans, the file, the waterfall."""
