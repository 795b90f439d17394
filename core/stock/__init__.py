"""What fills a domain's catalogue and keeps it true: items taken in, samples, expiry, the stock beside the store."""
