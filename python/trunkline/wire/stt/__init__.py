"""What vendors of speech to text send and take, one file per vendor and protocol."""
