"""Inputs and sockets that several nodes share."""
