"""The code tables of the protocol page, with what each code means in English and Chinese.

Events have codes as plain integers, so that a code which no table knows is passed on unchanged. The enumerations
name the known ones; :func:`label` returns the text of any code.

Source: the protocol page, 记录事件字段属性 (record) and 设备告警事件对象 (alarm).
"""

from enum import IntEnum
from typing import Literal, Self

__all__ = [
    "Language",
    "Code",
    "RecognitionType",
    "Mask",
    "VerificationMode",
    "EntryMode",
    "AbnormalType",
    "UserType",
    "AlarmCode",
    "AlarmStatus",
    "label",
]

Language = Literal["en", "zh"]


class Code(IntEnum):
    """A code of the protocol page; each member is ``value, English, Chinese``."""

    en: str
    zh: str

    def __new__(cls, value: int, en: str, zh: str) -> Self:
        member = int.__new__(cls, value)
        member._value_ = value
        member.en = en
        member.zh = zh
        return member

    def label(self, language: Language = "en") -> str:
        return self.zh if language == "zh" else self.en


def label(table: type[Code], code: int | None, language: Language = "en") -> str:
    """Return the text of a code; the number of an unknown one, "" for none."""
    if code is None:
        return ""
    try:
        return table(code).label(language)  # type: ignore[call-arg]  # looks a member up by its value
    except ValueError:
        return f"未知 ({code})" if language == "zh" else f"unknown ({code})"


class RecognitionType(Code):
    """``recognitionType``: whom the terminal recognised."""

    EMPLOYEE = 1, "employee", "员工"
    VISITOR = 2, "visitor", "访客"
    STRANGER = 3, "stranger", "陌生人"
    NOT_LIVE = 4, "not a live face", "非活体"
    BLACKLIST = 5, "blacklist", "黑名单"


class Mask(Code):
    """``mask``: whether a mask was worn."""

    NOT_CHECKED = 0, "not checked", "未启用"
    WITHOUT = 1, "without mask", "未戴"
    WITH = 2, "with mask", "佩戴"


class VerificationMode(Code):
    """``mode``: what the door asks for. Older firmware numbered 2 and 3 the other way round."""

    FACE = 0, "face", "刷脸"
    FACE_OR_CARD = 1, "face or card", "刷脸或刷卡"
    FACE_AND_CARD = 2, "face and card", "刷脸且刷卡"
    FACE_OR_CARD_OR_QR_OR_PIN = 3, "face, card, QR code or PIN", "刷脸或刷卡或刷二维码或PIN"
    ID_CARD = 4, "identity card", "刷身份证"
    FACE_OR_ID_CARD = 5, "face or identity card", "刷脸或刷身份证"
    FACE_AND_ID_CARD = 6, "face and identity card", "刷脸且刷身份证"
    FACE_AND_PIN = 7, "face and PIN", "刷脸且PIN"
    FACE_AND_CARD_AND_PIN = 8, "face, card and PIN", "刷脸且刷卡且PIN"
    CARD_AND_PIN = 9, "card and PIN", "刷卡且PIN"


class EntryMode(Code):
    """``entry_mode``: how the door was opened."""

    FACE = 1, "face", "刷脸"
    QR = 2, "QR code", "二维码"
    CARD = 3, "card", "刷卡"
    FACE_AND_CARD = 4, "face and card", "刷脸+刷卡"
    ID_CARD = 5, "identity card", "刷身份证"
    FACE_AND_ID_CARD = 6, "face and identity card", "刷脸且刷身份证"
    HEALTH_CODE = 7, "health code", "刷健康码"
    FACE_AND_PIN = 8, "face and PIN", "刷脸+PIN"
    CARD_AND_PIN = 9, "card and PIN", "刷卡+PIN"
    FACE_AND_CARD_AND_PIN = 10, "face, card and PIN", "刷脸+刷卡+PIN"
    BUTTON = 11, "door button", "开门按钮"
    JOB_NUMBER_AND_PIN = 12, "job number and PIN", "工号+PIN"


class AbnormalType(Code):
    """``abnormal_type``: what was wrong with the attempt."""

    NONE = 0, "nothing abnormal", "无"
    ID_MISMATCH = 10001, "face does not match the identity card", "人证不匹配"
    CARD_MISMATCH = 10002, "face does not match the card", "人卡不匹配"
    QR_MISMATCH = 10003, "face does not match the QR code", "人码不匹配"
    VISITOR_EXPIRED = 20001, "visitor outside the visiting time", "访客不在有效期内"
    NOT_ALLOWED_NOW = 20002, "outside the permitted hours", "不在通行时间内"
    INVALID_ID_CARD = 30001, "invalid identity card", "无效身份证"
    INVALID_CARD = 30002, "invalid card", "无效IC卡"
    INVALID_QR = 30003, "invalid QR code", "无效二维码"
    TEMPERATURE = 40001, "abnormal body temperature", "体温异常"
    WRONG_PIN = 70001, "wrong PIN", "PIN码错误"
    TOO_MANY_PINS = 70002, "wrong PIN too many times", "PIN码错误次数过多"


class UserType(Code):
    """``user.type``: what kind of person. Before API 1.3.0 the blacklist was 3."""

    EMPLOYEE = 1, "employee", "员工"
    VISITOR = 2, "visitor", "访客"
    BLACKLIST = 5, "blacklist", "黑名单"


class AlarmCode(Code):
    """``code`` of an alarm: what happened to the device or the door."""

    TAMPER = 10001, "device tampered with", "拆机告警"
    FORCED_DOOR = 10002, "door forced open", "强制开门告警"
    DOOR_HELD = 10003, "door held open too long", "门磁超时告警"
    PASSWORD_ATTACK = 10004, "password attack", "密码攻击告警"
    FIRE = 20003, "fire alarm", "消防告警"


class AlarmStatus(Code):
    """``status`` of an alarm: the step of its life."""

    OCCURRED = 1, "occurred", "发生告警"
    CLEAR_FAILED = 2, "clearing failed", "告警解除失败"
    CLEARED = 3, "cleared", "告警解除成功"
