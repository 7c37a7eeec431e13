"""Messages to people's telephones, by chat services and mail.

``notify``  one message for the events that are sent together
``rules``   of which events people are told, and in which words; pure
``chat``    DingTalk, WeCom, Feishu, Telegram, Slack, Teams, Discord
``mail``    SMTP
"""
