"""HTML pages that open without a server and without a network: what reports and `i2md view` share."""
