"""E-mail through a submission server: SMTP with TLS."""
