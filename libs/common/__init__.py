"""What all services share: events, bus, service life cycle, settings, logs, objects, formats."""
