"""The compiled half of `trunkline.audio` and `trunkline.transport`; nobody else imports it."""
