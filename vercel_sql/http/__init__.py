"""HTTP: the client and its handlers, paging, rate limits, proofs, answers."""
