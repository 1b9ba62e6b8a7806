"""The tests of soapmail."""
