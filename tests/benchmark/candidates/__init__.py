"""The programs that are compared; each logs in and lists the invoices of the server it is given."""
