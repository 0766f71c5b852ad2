"""What every resource of the API shares: the application's state, pages of lists, idempotency keys."""
