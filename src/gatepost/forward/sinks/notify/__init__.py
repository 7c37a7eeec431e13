"""Messages to people, by chat services and mail.

``notify``  one message for the events that are sent together
``rules``   which events people are notified of, and with which text; pure
``chat``    DingTalk, WeCom, Feishu, Telegram, Slack, Teams, Discord
``mail``    SMTP
"""
