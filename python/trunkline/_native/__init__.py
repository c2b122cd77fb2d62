"""The compiled half of `trunkline.audio`; nobody else imports it."""
