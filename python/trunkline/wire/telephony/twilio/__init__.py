"""Twilio's protocols: media streams, TwiML, signatures."""
