"""What people are told of by themselves: rules, alerts, and when to say so. Pure."""
