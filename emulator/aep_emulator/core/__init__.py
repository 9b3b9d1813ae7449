"""Parts that every other package uses: state, clock, world, HTTP errors, validation, faults."""
