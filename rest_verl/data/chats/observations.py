"""Tools' messages in the order of the calls that they answer."""

from rest_verl.data.chats.chat import RecordedCall, RecordedMessage
from rest_verl.data.refusals import Refused, shortened


def in_order_of_calls(messages: list[RecordedMessage]) -> list[RecordedMessage]:
    """The same messages, those of tools after each message with calls in the order of its calls.

    An id says which call a message answers; messages without one answer the calls that are left, in
    turn.

    Raises:
        Refused: an id that no call before it has, or that is answered twice; a name that is not
            that of the call.
    """
    ordered: list[RecordedMessage] = []
    position = 0
    while position < len(messages):
        message = messages[position]
        ordered.append(message)
        position += 1
        end = position
        while end < len(messages) and messages[end].role == "tool":
            end += 1
        ordered += _by_call(message.calls, messages[position:end])
        position = end
    return ordered


def _by_call(
    calls: list[RecordedCall], observations: list[RecordedMessage]
) -> list[RecordedMessage]:
    ids = [call.id for call in calls if call.id]
    if twice := next((id_ for id_ in ids if ids.count(id_) > 1), None):
        raise Refused("two calls with one id", f"two calls have the id {shortened(twice)}")
    numbers = {call.id: number for number, call in enumerate(calls) if call.id}
    answers: dict[int, RecordedMessage] = {}
    for observation in observations:
        if id_ := observation.call_id:
            if id_ not in numbers:
                raise _refused(observation, "observation of no call", id_, "no call before it has")
            if numbers[id_] in answers:
                raise _refused(observation, "call answered twice", id_, "is answered already")
            answers[numbers[id_]] = observation
    free = (number for number in range(len(calls)) if number not in answers)
    without_call: list[RecordedMessage] = []
    for observation in observations:
        if not observation.call_id:
            number = next(free, None)
            if number is None:
                without_call.append(observation)
            else:
                answers[number] = observation
    for number, observation in answers.items():
        if observation.tool and observation.tool != calls[number].name:
            raise Refused(
                "observation of another tool",
                f'{observation.place}: "name" is {shortened(observation.tool)}, but the call that '
                f"it answers is of {shortened(calls[number].name)}",
            )
    return [answers[number] for number in sorted(answers)] + without_call


def _refused(observation: RecordedMessage, reason: str, id_: str, why: str) -> Refused:
    what = f'{observation.place}: "tool_call_id" {shortened(id_)}'
    return Refused(reason, f"{what} {why}; mend the id or drop the conversation")
