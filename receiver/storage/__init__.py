"""What is kept: tables, migrations, and one repository per aggregate. Every write is on disk when it returns."""
