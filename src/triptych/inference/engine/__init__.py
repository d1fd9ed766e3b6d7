"""Answer the requests of many clients with one model, whose steps they share."""
