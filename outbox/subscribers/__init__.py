"""Who wants to be told of what, where, and under which secret.

In: what a person asks for. Out: subscribers, their subscriptions, and for the senders a decrypted destination.
Never: a secret or a whole URL in anything that is shown.
"""
