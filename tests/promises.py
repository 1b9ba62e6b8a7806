"""What soapmail promises, a change of the code that breaks each promise, and the tests that see it.

    python -m tests.promises [WORDS]                  every change of the promises that have WORDS
    python -m tests.promises --random 200 --seed 1    changes by rule, anywhere in the package

Each change is made in a copy, and the tests that are named with it run there alone: all of them have
to fail. A change that no test sees, that only a hang shows, or that fits the code no more, is an
error of this program. ``tests/mutations.py`` makes the changes.
"""

from __future__ import annotations

import argparse
import re
import sys
import time
from collections import Counter
from functools import cache
from typing import TYPE_CHECKING, NamedTuple

from .mutations import (
    NOTHING,
    PACKAGE,
    Mutation,
    Task,
    Verdict,
    judge_all,
    judge_random,
    make_controls,
)
from .support import ROOT

if TYPE_CHECKING:
    from collections.abc import Sequence


class Change(NamedTuple):
    """A text of one module before and after, and the tests that fail then."""

    module: str
    before: str
    after: str
    tests: Sequence[str]


class Promise(NamedTuple):
    """A sentence that a user may rely on."""

    sentence: str
    changes: Sequence[Change]


def promise(sentence: str, *changes: tuple[str, str, str, str]) -> Promise:
    """Make a promise; the tests of a change are written with blanks between them."""
    made = [
        Change(module, before, after, tests.split()) for module, before, after, tests in changes
    ]
    return Promise(sentence, made)


PROMISES = [
    # --- once only -----------------------------------------------------------------------------
    promise(
        "A payment with a doubtful response is sent once.",
        (
            "call.py", "if not result.is_ambiguous() or self._is_changing:", "if not result.is_ambiguous():",
            "test_a_payment_with_a_doubtful_response_arrives_once test_an_ambiguous_sign_at_a_changing_operation_is_an_unknown_outcome",
        ),
    ),
    promise(
        "A changing operation is sent once, whatever exception is being handled outside.",
        (
            "call.py", "is_last or not result.is_transient or (is_changing and delivery.may_have_left)", "is_last or not result.is_transient",
            "test_what_the_caller_is_handling_is_no_proof_that_nothing_left test_a_changing_operation_is_sent_once",
        ),
    ),
    promise(
        "An adapter that may send again by itself is refused before a change is sent.",
        (
            "call.py", "            self._state.transport.check()\n", "            pass\n",
            "test_an_adapter_that_may_send_again_by_itself_is_refused_before_anything_is_sent",
        ),
    ),
    promise(
        "An adapter that retries sends a payment once.",
        (
            "transport/connection.py", "if self._slot.delivery.stage is Stage.SENT:", "if False:",
            "test_a_stubborn_adapter_reads_with_one_request_for_each_attempt",
        ),
    ),
    promise(
        "Connections that do not report are never believed to have sent nothing.",
        ("transport/connection.py", "            self.slot.delivery.to_adapter(is_plain=False)\n", "            pass\n", "test_a_pool_of_its_own_is_used_once_and_never_believed"),
        ("transport/delivery.py", "        self.stage = max(self.stage, Stage.MAYBE_SENT)\n", "        pass\n", "test_what_others_raise_is_never_taken_for_proof_that_nothing_left"),
        ("transport/delivery.py", "if self._is_plain and self.stage is not Stage.SENT:", "if self.stage is not Stage.SENT:", "test_what_is_not_soapmails_own_is_never_believed_to_have_sent_nothing"),
    ),
    promise(
        "What stands in place of a function of requests or urllib3 gets the payment.",
        ("transport/transport.py", "        if is_through_session:\n", "        if False:\n", "test_requests_mock_gets_the_payment"),
        ("transport/connection.py", "return is_same and self._connections == find_connections(manager)", "return is_same", "test_a_cassette_that_is_put_in_later_gets_what_comes_then"),
        ("transport/connection.py", "_Connections(kind, can_report, is_plain)", "_Connections(kind if can_report else None, can_report, is_plain)", "test_a_connection_class_that_is_put_in_after_another_one_is_used"),
    ),
    promise(
        "Behind a tracer all is read and bounded as without it, and a repeated request leaves once.",
        ("transport/connection.py", "can_report = is_plain or (can_report and modules <= _PACKAGES)", "can_report = is_plain", "test_behind_a_tracer_all_is_read_and_bounded_as_without_it"),
        ("transport/transport.py", "            if is_own:\n                sender", "            if False:\n                sender", "test_a_wrapper_that_repeats_a_request_sends_a_payment_once"),
        ("transport/transport.py", "received.raw is None or received._content is not False", "received.raw is None", "test_a_spy_may_read_the_content"),
    ),
    promise(
        "What a tracer or a spy does beside sending changes nothing of what is read.",
        ("transport/connection.py", "adapter if url == own else session.get_adapter(url)", "adapter", "test_a_tracer_may_ask_somebody_else"),
        ("transport/connection.py", "        resolve_redirects=lambda *args, **options: iter(()),\n", "", "test_behind_a_tracer_nobody_looks_where_a_redirect_leads"),
        ("transport/response_body.py", "self._source.fp or io.BytesIO()", "self._source.fp", "test_what_a_spy_has_taken_away_is_asked_for_again"),
    ),
    promise(
        "Content that somebody else has read is judged by the head of its response.",
        ("transport/response_body.py", "        if self._content is None:\n            transfer", "        if True:\n            transfer", "test_content_that_a_spy_has_read_is_judged_by_the_head_of_its_response"),
        ("transport/connection.py", "getattr(source, \"has_lost_headers\", False) or bool(payload)", "getattr(source, \"has_lost_headers\", False)", "test_content_that_a_spy_has_read_is_judged_by_the_head_of_its_response"),
        ("transport/connection.py", "        self._refuse_to_repeat()\n        self._is_open", "        self._is_open", "test_a_wrapper_inside_a_connection_sends_a_payment_once"),
    ),
    promise(
        "A connection is believed for what it is, not for its class alone.",
        ("transport/connection.py", '_SOCKET_METHODS = ("__init__", ', "_SOCKET_METHODS = (", "test_a_connection_that_is_changed_when_it_is_made_is_never_believed"),
        ("transport/connection.py", " and function.__self__ is owner:", ":", "test_a_function_that_is_bound_to_something_else_is_no_plain_one"),
        ("transport/connection.py", '"reports_all": connections.is_plain', '"reports_all": True', "test_what_fails_in_place_of_a_function_may_have_sent_the_payment"),
    ),
    promise(
        "What frames a body is decided once, and by the standard.",
        ("transport/response_body.py", 'transfer = transfer.strip(_BLANKS)', 'pass', "test_blanks_around_a_transfer_coding_mean_nothing"),
        ("transport/response_body.py", "self._received and self._has_lost_headers", "False", "test_what_stands_behind_a_line_that_is_no_header_is_not_guessed"),
        ("transport/response_body.py", "if self._status < HTTPStatus.OK:", "if False:", "test_an_interim_response_over_a_connection_that_does_not_report_is_no_final_one"),
    ),
    promise(
        "A wrapper that looks like a function is seen; what may send twice, or returns no response, is refused.",
        ("transport/connection.py", "if type(function) is not FunctionType:", "if False:", "test_a_proxy_of_a_function_gets_the_payment"),
        ("transport/transport.py", "    return definers[:1] != [kind] or \"send\" in vars(owner)\n", "    return False\n", "test_a_session_with_a_send_of_its_own_reads_and_changes_nothing"),
        ("transport/transport.py", "if not is_response or not isinstance(received.status_code, int):", "if False:", "test_a_mock_that_returns_no_response_is_told"),
    ),
    promise(
        "A call has a floor: where no error can be made, a constant leaves.",
        ("call.py", "            self.failure = self._last_resort\n", "            raise\n", "test_where_judging_fails_a_constant_leaves"),
        ("call.py", "        codecs.lookup(encoding)\n", "        pass\n", "test_nothing_is_imported_or_opened_once_the_request_left"),
    ),
    promise(
        "A response is read by the standard, and what is not understood is no content.",
        ("transport/connection.py", "            if status >= HTTPStatus.OK:\n", "            if True:\n", "test_interim_responses_are_read_over"),
        ("transport/codings.py", "        if self._remaining == 0 and self._read_line().strip(b\"\\r\\n\"):", "        if self._remaining == 0 and not self._read_line():", "test_chunks_that_are_none_are_no_content"),
        ("transport/codings.py", 'if not self._is_gzip or not data.startswith(b"\\x1f"):', "if True:", "test_each_compression_is_undone_in_pieces_of_any_size"),
    ),
    promise(
        "Of a login that failed nothing is shown.",
        ("observe.py", "if not (is_unknown and response.data):", "if True:", "test_of_a_login_that_failed_nothing_is_shown"),
    ),
    promise(
        "A field of a secret is hidden whatever it holds.",
        ("redaction.py", "f\"{_NO_TAGS}|{_TAG}\"", "_TAG", "test_a_field_that_holds_a_secret_is_hidden_whatever_it_holds"),
        ("redaction.py", 'is_secret_name(key if key and name == "value" else name)', "is_secret_name(name)", "test_a_field_that_holds_a_secret_is_hidden_whatever_it_holds"),
        ("call.py", "request.text(name) for name in values", "str(values[name]) for name in values", "test_a_secret_is_known_in_the_text_in_which_the_server_gets_it"),
    ),
    promise(
        "Fields that hold a secret are hidden by name.",
        ("observe.py", 'redact_fields(text, check).encode', 'text.encode', "test_fields_that_hold_a_secret_are_hidden_in_what_an_observer_is_told"),
        ("soap/envelope.py", "{n: hide(_unescape(text)).translate(_ESCAPES)", "{n: hide(text)", "test_a_shown_request_is_made_with_stars_where_secrets_stood"),
    ),
    promise(
        "A session that trusts any certificate is refused.",
        ("arguments.py", "    if not value.verify:", "    if False:", "test_verification_of_certificates_cannot_be_switched_off"),
    ),
    promise(
        "A change is repeated where its connection knows that no byte left.",
        ("transport/delivery.py", "return self.stage >= Stage.MAYBE_SENT", "return self.stage >= Stage.CONNECTING", "test_a_changing_operation_is_repeated_when_the_connection_was_never_made"),
    ),
    promise(
        "A connection says that a byte leaves before it does.",
        ("transport/connection.py", "            delivery.sending()\n", "            pass\n", "test_a_changing_operation_is_sent_once"),
    ),
    promise(
        "A request that an expired session refused in words is sent again, once, with a new one.",
        ("call.py", "        if result.is_refused():\n            hint", "        if False:\n            hint", "test_a_payment_that_an_expired_session_refused_is_sent_with_a_new_one_once"),
        ("call.py", "session = self._get_session(refused=session)", "session = self._get_session()", "test_a_session_refused_in_words_leads_to_one_login_and_one_repeat"),
    ),
    promise(
        "Any exception after a byte left is OutcomeUnknown.",
        ("call.py", "            elif not isinstance(error, OutcomeUnknown):", "            elif False:", "test_any_exception_after_a_byte_left_is_an_unknown_outcome"),
    ),
    promise(
        "What interrupts a change passes with a note and a WARNING.",
        ("call.py", "                _warn_of_interruption(self._request.operation, error)\n", "                pass\n", "test_what_is_no_exception_passes_with_a_note"),
    ),
    promise(
        "A clear no of the server is no unknown outcome.",
        ("call.py", "        if isinstance(result.error, (SoapFault, OperationFailed)):", "        if False:", "test_a_fault_at_a_changing_operation_is_a_response"),
    ),
    promise(
        "A changing operation has a connection of its own.",
        ("transport/transport.py", "                    if fresh:\n", "                    if False:\n", "test_a_changing_operation_has_a_connection_of_its_own"),
    ),
    promise(
        "What a signal's handler raises ends the call at once.",
        ("transport/delivery.py", "            self.callers_error = error\n", "            pass\n", "test_what_a_signals_handler_raised_is_known_by_its_frame"),
        ("call.py", "            unknown.__cause__ = error\n", "            pass\n", "test_a_timeout_of_the_callers_own_is_the_cause_of_an_unknown_outcome"),
    ),
    promise(
        "All operations that are not known to read count as changing.",
        ("operations.py", 'return not operation.startswith("get_") and "_get_" not in operation', 'return "_get_" not in operation and "x" not in operation', "test_what_changes_is_told_apart"),
    ),
    # --- deadlines -----------------------------------------------------------------------------
    promise(
        "`timeout` is one limit for the login, all attempts and their pauses.",
        ("call.py", "delivery = Delivery(self._deadline)", "delivery = Delivery(Deadline(self._state.timeout))", "test_login_and_call_share_the_limit test_attempts_and_a_second_login_share_the_limit"),
        ("call.py", "            if pause >= self._deadline.remaining():\n                return result\n", "", "test_a_pause_that_would_pass_the_limit_is_not_begun"),
    ),
    promise(
        "No time left sends nothing.",
        ("transport/transport.py", "            if delivery.deadline.remaining() <= 0:\n                raise NetworkTimeout\n", "", "test_no_time_left_asks_no_adapter"),
    ),
    promise(
        "Waiting for another thread's login ends with the time limit.",
        ("session.py", "timeout=max(0.0, deadline.remaining())", "timeout=5.0", "test_waiting_for_another_threads_login_ends_with_the_time_limit"),
    ),
    promise(
        "`timeout` bounds the work on what came.",
        ("call.py", "document = Document(text, name, self._deadline)", "document = Document(text, name, Deadline())", "test_the_time_limit_bounds_the_work_on_what_came_too"),
    ),
    promise(
        "Decoding looks at the deadline.",
        ("deadline.py", "            raise DeadlineExceeded", "            pass", "test_a_call_ends_in_the_middle_of_decoding"),
    ),
    promise(
        "The handshake has what a proxy left of the time.",
        ("transport/connection.py", "        self.sock.settimeout(self._slot.delivery.timeout())\n", "        pass\n", "test_what_a_proxy_took_of_the_time_is_gone_for_the_handshake"),
    ),
    promise(
        "Each address of a host has a share of the time.",
        ("transport/connection.py", "delivery.timeout() / (len(addresses) - number)", "delivery.timeout()", "test_each_address_of_a_host_gets_a_share_of_the_time"),
    ),
    promise(
        "Reading a response is bounded byte by byte.",
("transport/delivery.py", "        seconds = self.deadline.remaining()\n", "        seconds = self.deadline.remaining() + 3\n", "test_login_and_call_share_the_limit"),
    ),
    # --- sessions ------------------------------------------------------------------------------
    promise(
        "One login serves all calls.",
        ("session.py", "            if current is not None and not is_refused:\n                return current\n", "", "test_one_login_serves_all_calls test_a_session_id_is_used_until_it_is_refused"),
    ),
    promise(
        "Of threads that meet a refused session, the first one logs in.",
        ("session.py", "refused and current and current.generation == refused.generation", "refused and current and current.sid == refused.sid", "test_one_expiry_costs_one_login_though_the_server_repeats_its_session_id"),
    ),
    promise(
        "An empty list of an old session is checked with a new one.",
        ("call.py", "if session.is_fresh() and (result.is_empty() or is_confirmed):", "if result.is_empty() or is_confirmed:", "test_an_empty_list_from_an_old_session_is_checked_with_a_new_one test_an_empty_list_from_a_handed_session_is_checked_too"),
    ),
    promise(
        "The age of a session goes by both clocks; one set back is an old session.",
        ("session.py", "is_young = max(awake, passed) < FRESH_SESSION_SECONDS", "is_young = awake < FRESH_SESSION_SECONDS", "test_the_age_of_a_session_goes_by_both_clocks"),
        ("session.py", "return is_young and passed >= awake - _CLOCK_TOLERANCE_SECONDS", "return is_young", "test_the_age_of_a_session_goes_by_both_clocks"),
    ),
    promise(
        "A missing service does not cost a login for each call.",
        ("call.py", "            self._state.sessions.current = session._replace(fault_confirmed=True)\n", "            pass\n", "test_a_missing_service_does_not_cost_a_login_for_each_call"),
    ),
    promise(
        "An empty session id is a wrong password.",
        ("call.py", "if result.value is None or not result.value.strip():", "if result.value is None:", "test_a_blank_session_is_an_authentication_error"),
    ),
    promise(
        "An interrupted login leaves no lock taken.",
        ("session.py", "                self._lock.release()\n", "                pass\n", "test_an_interrupted_login_leaves_no_lock_taken"),
    ),
    # --- wholeness -----------------------------------------------------------------------------
    promise(
        "A list has as many rows as it declares.",
        ("extract.py", '            claim.check_count(sent, "return")\n', "            pass\n", "test_a_cut_list_is_whole_or_an_error_at_every_byte"),
        ("soap/element.py", "    claim.check_count(count, place)\n", "", "test_a_cut_list_of_strings_is_counted test_a_cut_list_of_any_type_is_counted"),
    ),
    promise(
        "Closing tags are added only behind lists that declare their rows.",
        ("soap/document.py", "        if not has_row_count(value):", "        if False:", "test_a_foreign_count_does_not_make_a_cut_list_whole test_a_cut_value_is_an_error_at_every_byte"),
    ),
    promise(
        "One envelope, one body, one response and one value.",
        ("soap/document.py", "        if _INDEPENDENT(body):", "        if False:", "test_bad"),
        ("soap/document.py", "        if len(values) != 1:", "        if not values:", "test_bad"),
        ("soap/document.py", "        if len(bodies) != 1:", "        if not bodies:", "test_bad"),
    ),
    promise(
        "The response to another operation is refused.",
        ("soap/document.py", 'if self._operation is not None and name != f"{self._operation}Response":', "if False:", "test_the_response_to_another_operation_is_refused"),
    ),
    promise(
        "The record that came is the one that was asked for.",
        ("extract.py", "    if id is not None and id != wanted:", "    if False:", "test_the_record_that_came_is_the_one_that_was_asked_for"),
    ),
    promise(
        "References are an error that says so.",
        ("soap/element.py", "    if claim.is_reference and not (count or text):", "    if False:", "test_references_are_said_to_be_unsupported"),
        ("soap/element.py", "(self.is_nil or self.is_reference or self.is_base64)", "(self.is_nil or self.is_base64)", "test_an_empty_reference_is_refused_among_others_that_are_none"),
        ("extract.py", "                check_content(cell, claim, place(row))\n", "                pass\n", "test_a_reference_in_a_field_that_is_not_known_is_refused test_a_field_that_is_not_known_may_not_contradict_itself"),
    ),
    promise(
        "A fault is SOAP's.",
        ("soap/document.py", "        if fault.tag not in tags:", "        if False:", "test_bad"),
    ),
    promise(
        "A field that comes twice is an error.",
        ("extract.py", "        if times > 1:", "        if False:", "test_a_field_that_stands_twice_is_named"),
        ("soap/element.py", "    elif kind in (OPEN, STRUCT) and not claim.is_nil:", "    elif kind is OPEN and not claim.is_nil:", "test_by_type_refuses"),
    ),
    promise(
        "The fields of a row are its own, however those of its neighbours go on.",
        ("extract.py", "if set(widths) != {width} or names != ", "if names != ", "test_rows_of_equal_width_but_other_fields_keep_their_own"),
    ),
    promise(
        "Digits that a float loses are an error; a Decimal keeps them.",
        ("soap/scalars.py", "            if not is_written_of(exact, value):", "            if False:", "test_digits_that_a_float_loses_are_an_error"),
        ("soap/scalars.py", "        if kind is not float:\n            return exact\n", "", "test_a_decimal_keeps_all_digits"),
        ("soap/envelope.py", "    if Decimal(repr(float(number))) != number:", "    if False:", "test_numbers_that_the_server_cannot_keep_are_refused"),
    ),
    promise(
        "A text is no list.",
        ("soap/scalars.py", "    if shape.kind not in (TEXT, OPEN):", "    if False:", "test_a_list_where_a_text_belongs_is_an_error"),
    ),
    promise(
        "All readers have one answer to what an element is.",
        ("soap/element.py", "            raise ResponseError(f\"{kind} that declares rows\", place=str(place))", "            pass", "test_all_readers_have_one_answer"),
        ("soap/element.py", "        if not self.is_nil and kind not in (ARRAY, OPEN):", "        if False:", "test_all_readers_have_one_answer test_modules_are_never_read_from_a_status"),
        ("soap/element.py", "and self.type is None and count < 2 else STRUCT", "else STRUCT", "test_all_readers_have_one_answer test_no_two_readers_disagree"),
    ),
    promise(
        "Nil in the words of each schema is None, and with content it is an error.",
        ("soap/element.py", 'if name == "nil" or (name == "null" and is_instance):', 'if name == "nil":', "test_nil_of_each_schema_is_none"),
        ("soap/element.py", "    if claim.is_nil and (count or text):", "    if False:", "test_nil_with_content_and_an_invalid_nil_are_refused"),
        ("extract.py", "        if claim.is_nil and sent:", "        if False:", "test_nil_with_content_and_an_invalid_nil_are_refused"),
    ),
    promise(
        "Attributes that contradict each other, or that XML Schema does not have, are an error.",
        ("soap/element.py", "for said in (nils, counts, types):", "for said in (nils, types):", "test_the_sizes_of_soap11_and_soap12_must_agree"),
        ("soap/element.py", "for said in (nils, counts, types):", "for said in (counts,):", "test_nil_with_content_and_an_invalid_nil_are_refused test_two_types_that_differ_are_refused"),
        ("soap/element.py", "elif is_instance and name not in _LOCATIONS:", "elif False:", "test_an_attribute_that_xml_schema_does_not_have_is_refused"),
    ),
    promise(
        "Rows are read many at a time only where each has the first one's tags.",
        ("soap/chunks.py", "is_added = rows.pattern.fullmatch(chunk) and", "is_added = rows.pattern.search(chunk) and", "test_a_contradiction_is_found_in_any_of_many_rows"),
        ("soap/document.py", "texts=[] if rows is None or before else", "texts=[] if rows is None else", "test_a_row_with_other_fields_is_read_wherever_it_stands"),
        ("soap/chunks.py", " and len(value) > before\n", "\n", "test_bytes_like_rows_are_rows_only_where_rows_are"),
    ),
    promise(
        "Text between rows is an error wherever it stands.",
        ("soap/document.py", '    reject_text((value[0].tail or "").strip(BLANK), "return")\n', "", "test_text_between_rows_is_refused_wherever_it_stands"),
    ),
    promise(
        "What is larger than libxml2 reads is told from what is malformed.",
        ("soap/document.py", "        if limit is not None:", "        if False:", "test_a_limit_of_libxml2_is_told_from_malformed_xml"),
    ),
    promise(
        "A number with 16 or 17 digits is the float that PHP wrote so.",
        ("patterns.py", "for digits in (15, 16, 17)", "for digits in (15, 16)", "test_a_float_in_any_precision_of_php_is_that_float"),
        ("models.py", "return Decimal(repr(float(text))) if is_float else number", "return number", "test_an_amount_in_seventeen_digits_is_the_shortest"),
    ),
    promise(
        "A text is a date or JSON only in the written form of one.",
        ("models.py", "        if re.fullmatch(DATE, text):", "        if True:", "test_a_bad_date_is_an_error_that_names_it"),
        ("models.py", "        if not math.isfinite(value):", "        if False:", "test_extra_that_is_no_json_is_an_error"),
        ("models.py", "        if len(dict(pairs)) < len(pairs):", "        if False:", "test_extra_that_is_no_json_is_an_error"),
    ),
    promise(
        "Nothing that is open disappears because its date cannot be read.",
        ("billing/due.py", 'return state in ("overdue", "undated") or', 'return state == "overdue" or', "test_an_open_invoice_with_an_unreadable_due_date_is_in_every_list"),
        ("cli/commands/records.py", "        return invoice.is_open\n", "        return False\n", "test_a_wrong_date_of_the_server_is_shown_as_it_is"),
        ("billing/plan.py", "        return Reason.UNDATED\n", "        pass\n", "test_a_plan_by_due_dates_says_what_has_none"),
    ),
    promise(
        "A status other than ok is OperationFailed.",
        ("extract.py", "    if not is_ok(status):", "    if False:", "test_recorded_refusals"),
    ),
    promise(
        "A value that must be there is an error where it is not.",
        ("extract.py", '        raise ResponseError("no value", place="return")', "        pass", "test_a_required_value"),
    ),
    promise(
        "Nothing behind a counted page is read as a response.",
        ("transport/response_body.py", "if is_counted and (is_whole or not self._has_start_tag()):", "if is_counted and is_whole:", "test_nothing_behind_a_counted_page_is_read_as_a_response"),
    ),
    promise(
        "Bytes behind a miscounted length are read.",
        ("transport/response_body.py", "if is_counted and (is_whole or not self._has_start_tag()):", "if is_counted:", "test_bytes_behind_the_count_may_come_later"),
    ),
    promise(
        "204 and 304 have no body.",
        ("transport/response_body.py", "        if self._status in _BODILESS:", "        if False:", "test_no_body_belongs_to_some_statuses"),
    ),
    promise(
        "A connection that holds a byte too many is not used again.",
        ("transport/response_body.py", "return is_done and not (reader and reader.has_surplus)", "return is_done", "test_a_connection_that_holds_a_byte_too_many_is_not_used_again"),
    ),
    promise(
        "The size limit is exact.",
        ("transport/response_body.py", "        if self._size > self._limit:", "        if self._size >= self._limit:", "test_the_size_limit_is_exact"),
    ),
    promise(
        "Namespaces have a number and a length.",
        ("soap/document.py", "    if depth > MAX_NESTED_NAMESPACES:", "    if False:", "test_many_namespaces_one_inside_another_are_an_error"),
    ),
    # --- text ----------------------------------------------------------------------------------
    promise(
        "What was put right is one WARNING for each kind.",
        ("call.py", "            warn_of_repairs(name, document.repairs)\n", "            pass\n", "test_repairs_are_told"),
    ),
    promise(
        "A URL is the href of the tag, whole or an error.",
        ("extract.py", "if len(url) > _MAX_URL_CHARACTERS or not re.fullmatch(URL, url):", "if not url:", "test_an_unquoted_url_is_whole_or_an_error"),
        ("extract.py", "return unescape(entity[0]) if is_entity else entity[0]", "return unescape(entity[0])", "test_an_unquoted_url_is_whole_or_an_error"),
    ),
    promise(
        "Text that the server will not keep is a warning before anything is sent.",
        ("soap/envelope.py", 'if not value.isascii() and max(value) > "\\xff":', "if False:", "test_lossy_text_warns_before_anything_is_sent"),
    ),
    promise(
        "What XML cannot carry is refused before anything is sent.",
        ("soap/envelope.py", "    if forbidden:", "    if False:", "test_call_refuses_before_anything_is_sent"),
    ),
    promise(
        "A bare carriage return arrives as one.",
        ("soap/envelope.py", ', "\\r": "&#13;"', "", "test_every_awkward_text_is_on_the_wire_exactly"),
    ),
    # --- secrets -------------------------------------------------------------------------------
    promise(
        "No error holds a password or a session id, in any form in which PHP echoes it.",
        ("redaction.py", "            yield _normalize(plain), starts, ends\n", "            break\n", "test_forms_in_which_php_echoes_a_secret"),
        ("call.py", "        self._secrets.add(session.sid)\n", "        pass\n", "test_a_session_id_of_an_earlier_login_is_hidden_too"),
        ("call.py", "self._secrets = {*secrets, *state.secrets}", "self._secrets = {*secrets}", "test_what_a_server_echoes_reads_as_stars"),
    ),
    promise(
        "Frames with secrets are cut, whatever leaves.",
        ("redaction.py", "    return error.with_traceback(None)", "    return error", "test_frames_with_secrets_are_cut_whatever_leaves"),
        ("redaction.py", "    error.__context__ = None\n", "", "test_what_was_handled_below_is_cut_too"),
    ),
    promise(
        "The place of an error is searched too.",
        ("redaction.py", "place = error.place and redact_excerpt(error.place, secrets, _MAX_PLACE_CHARACTERS)", "place = error.place", "test_of_a_long_value_enough_is_searched_to_show_none_of_a_secret"),
    ),
    promise(
        "A password among the parameters of a call is hidden.",
        ("call.py", "if redaction.is_secret_name(name)]", "if False]", "test_a_password_among_the_parameters_of_a_call_is_hidden"),
    ),
    promise(
        "Nothing that http.client prints or urllib3 logs holds a secret.",
        ("transport/connection.py", "    debuglevel = 0\n", "    debuglevel = property(lambda self: 1, lambda self, value: None)\n", "test_http_client_prints_nothing_of_a_request"),
        ("transport/connection.py", '        self.msg.defects, self.msg._payload = [], ""  # type: ignore[attr-defined]\n', "", "test_what_cannot_be_parsed_of_the_headers_is_not_logged"),
    ),
    promise(
        "A proxy's password is in no error.",
        ("transport/failures.py", "    if is_proxied and not isinstance(words, str):", "    if False:", "test_a_password_of_a_proxy_is_in_no_error_however_broken_the_url"),
    ),
    promise(
        "No redirect is followed, no netrc read and no cookie kept.",
        ("transport/transport.py", "auth=session.auth or (lambda request: request),", "auth=session.auth,", "test_no_netrc_is_read_and_no_cookie_kept"),
    ),
    promise(
        "Passwords go over https only, but for this very machine.",
        ("operations.py", 'if scheme != "https" and not (scheme == "http" and loopback):', 'if scheme not in ("https", "http"):', "test_an_unsafe_endpoint_is_refused_without_repeating_it"),
    ),
    promise(
        "A dump holds no secret.",
        ("call.py", "        self._secrets.update(_find_issued_secrets(outgoing.operation, result))\n", "        pass\n", "test_a_login_url_is_hidden_whoever_asks_for_it"),
    ),
    # --- the plan ------------------------------------------------------------------------------
    promise(
        "A dry run pays nothing, on a terminal too, and leaves out what a run would leave out.",
        ("cli/commands/pay.py", "        if args.dry_run or not (args.yes or has_terminal()):", "        if not (args.yes or has_terminal()):", "test_without_yes_the_plan_is_all_that_is_shown"),
        ("cli/commands/pay.py", "            history=history,\n", "", "test_what_the_journal_knows_as_paid_is_no_obstacle_for_the_others"),
        ("cli/commands/pay.py", "            ended=find_ended_services(services),\n", "", "test_invoices_of_ended_services_are_left_out"),
    ),
    # --- the journal ---------------------------------------------------------------------------
    promise(
        "An intent is on the disk before its request leaves.",
        ("billing/pay.py", "        journal.append(intent)\n        call = client._prepare_payment(id, invoice.invoices_module or \"mail\")\n        status = client._run(call)\n", "        call = client._prepare_payment(id, invoice.invoices_module or \"mail\")\n        status = client._run(call)\n        journal.append(intent)\n", "test_an_intent_is_on_the_disk_before_the_request_leaves"),
        ("billing/journal.py", "        os.fsync(self.fileno())\n", "", "test_an_intent_is_on_the_disk_before_the_request_leaves"),
    ),
    promise(
        "A disk that is full before the intent sends nothing.",
        ("billing/journal.py", "        if count < len(record):", "        if count < 0:", "test_a_full_disk_before_the_intent_sends_nothing"),
    ),
    promise(
        "A journal only grows, and what another program writes is kept and stops the run.",
        ("billing/journal.py", '"a+", opener=partial(os.open, mode=0o600)', '"r+", opener=lambda path, flags: os.open(path, flags | os.O_CREAT, 0o600)', "test_a_line_that_comes_at_the_same_time_stops_before_the_request"),
        ("billing/journal.py", "        if added != record:\n            self._is_shared = True\n", "", "test_a_line_that_comes_at_the_same_time_stops_before_the_request"),
        ("billing/journal.py", "        if record not in added:", "        if False:", "test_a_record_that_is_not_in_the_file_is_not_on_record"),
    ),
    promise(
        "What is not known is not paid again.",
        ("billing/plan.py", "    if history.may_be_unsettled(invoice.invoices_id):", "    if False:", "test_what_is_still_open_is_not_paid_again_and_the_others_are"),
        ("billing/history.py", 'return self.result in (None, "unknown")', "return self.result is None", "test_what_is_still_open_is_not_paid_again_and_the_others_are"),
        ("billing/pay.py", "call.may_have_happened or _is_paid_already(failure)", "_is_paid_already(failure)", "test_what_is_still_open_is_not_paid_again_and_the_others_are"),
    ),
    promise(
        "An answer belongs to the question that it names.",
        ("billing/history.py", "        if answer.answers is not None:", "        if False:", "test_an_answer_belongs_to_the_payment_that_it_names"),
        ("billing/history.py", "return ([one for one in named if one.is_open] or named)[-1:]", "return named", "test_two_writers_that_the_lock_does_not_reach_never_make_a_paid_invoice_payable"),
        ("billing/journal.py", "        elif not self.is_paid(invoice):", "        else:", "test_settling_one_invoice_answers_no_question_of_another"),
    ),
    promise(
        "A list answers only what it says once, and a refusal that says \"paid already\" is a question to it.",
        ("billing/pay.py", "    return len(rows) == 1 and rows[0].is_paid", "    return any(row.is_paid for row in rows)", "test_a_list_answers_what_it_says_once"),
        ("billing/pay.py", " and not _DOUBT.search(one)", "", "test_a_refusal_that_speaks_of_paying_is_a_refusal"),
        ("billing/pay.py", "call.may_have_happened or _is_paid_already(failure)", "call.may_have_happened", "test_a_refusal_that_says_paid_already_is_a_question_to_the_list"),
    ),
    promise(
        "What a run before paid is not sent again, and keeps nothing else from being paid.",
        ("billing/plan.py", "    if history.is_paid(invoice.invoices_id):", "    if False:", "test_what_the_journal_knows_as_paid_is_left_out_though_it_is_listed"),
        ("cli/commands/pay.py", "    Reason.PAID_BEFORE,\n", "", "test_what_the_journal_knows_as_paid_is_no_obstacle_for_the_others"),
    ),
    promise(
        "A signal hides no word of a change, a refusal included; JSON names what could not be recorded.",
        ("cli/signals.py", "        if self._running is not None and self._running.has_left:", "        if self._running is not None and self._running.may_have_happened:", "test_a_signal_behind_a_refused_payment_hides_nothing"),
        ("cli/commands/pay.py", "        report.tell_unrecorded(error)\n", "", "test_json_tells_of_a_payment_that_could_not_be_recorded"),
        ("cli/commands/payments.py", '            if fields["result"] == "paid":\n                raise\n', "            raise\n", "test_json_that_is_lost_hides_neither_a_refusal_nor_an_unknown_outcome"),
    ),
    promise(
        "A recorded outcome can be made a question again, in journals that were put together, too.",
        ("billing/history.py", '        if answer.event == "reopened":\n            return of_invoice\n', "", "test_journals_that_were_put_together_are_answered_and_keep_what_is_paid"),
        ("billing/journal.py", "            asked += [entry for entry in nameless if self._find_cause(entry) == invoice]\n", "            pass\n", "test_a_line_that_was_cut_off_behind_a_question_is_settled_with_it"),
        ("billing/journal.py", "replace(entry, number=self._last_number() + len(self._torn) + 1)", "replace(entry, number=self._last_number() + 1)", "test_a_number_is_given_once_though_cut_lines_come_first"),
    ),
    promise(
        "The first unknown outcome ends the run.",
        ("billing/pay.py", '        if entries[-1].result == "unknown":\n            return\n', "", "test_it_stops_at_the_first_unknown_outcome"),
    ),
    promise(
        "A line cut at any byte is an open question; one of another program stops.",
        ("billing/history.py", "        if entry is None and (is_unended or _is_cut_off(line)):", "        if entry is None and _is_cut_off(line):", "test_a_last_line_of_anything_is_a_question"),
        ("billing/history.py", "        if entry is None and (is_unended or _is_cut_off(line)):", "        if entry is None:", "test_a_whole_line_that_is_no_record_stops_wherever_it_stands"),
        ("billing/history.py", "            cut_off.pop(next(iter(cut_off), 0), None)", "            cut_off.clear()", "test_what_names_cut_lines_may_be_interrupted_between_two"),
    ),
    promise(
        "One run at a time, by whatever path, thread or process.",
        ("billing/journal.py", "                fcntl.flock(self.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)\n", "                pass\n", "test_other_paths_of_a_journal_have_the_same_lock"),
        ("billing/journal.py", "        if self.closed or self._owner != threading.get_ident():", "        if self.closed:", "test_a_journal_is_written_to_inside_only_and_by_one_thread"),
        ("billing/journal.py", "                if not self.closed:", "                if False:", "test_a_journal_cannot_be_entered_twice"),
    ),
    promise(
        "A child neither holds nor releases the lock, and an interrupt leaves none.",
        ("billing/journal.py", "        journal.close()\n", "        pass\n", "test_a_child_neither_holds_nor_releases_the_lock"),
        ("billing/journal.py", "            if is_ours:\n                self.close()\n", "", "test_an_interrupt_anywhere_leaves_no_lock_and_no_lost_record"),
        ("billing/journal.py", "        if self._is_writing:", "        if False:", "test_a_handler_that_uses_the_journal_while_a_record_is_written_is_refused"),
    ),
    promise(
        "A journal that is removed meanwhile stops the run.",
        ("billing/journal.py", "        if not _is_same(self.fileno(), self._real_path):", "        if False:", "test_a_journal_that_is_removed_meanwhile_stops_the_run"),
    ),
    promise(
        "An account has one journal, however it is spelled; another customer's is refused.",
        ("billing/identity.py", "username.strip().casefold()", "username", "test_an_account_is_one_however_it_is_spelled"),
        ("cli/commands/journal.py", "    if len(paths) > 1:", "    if False:", "test_a_journal_under_another_spelling_is_found_and_two_are_an_error"),
        ("billing/pay.py", "customers.isdisjoint(history.customers)", "False", "test_the_journal_of_another_customer_is_refused"),
    ),
    promise(
        "A place that is not there is not made, and not taken for an empty journal.",
        ("billing/journal.py", "    except FileNotFoundError:\n        raise JournalError(\n", "    except FileNotFoundError:\n        os.makedirs(folder)\n    except FileNotFoundError:\n        raise JournalError(\n", "test_neither_a_journal_nor_a_look_at_one_makes_a_folder"),
        ("billing/journal.py", "        if os.path.islink(path):", "        if False:", "test_only_a_missing_file_is_an_empty_journal"),
    ),
    promise(
        "Only what is still open and costs the same is paid.",
        ("billing/pay.py", "    if costs[0] != costs[1]:", "    if False:", "test_a_plan_that_is_not_true_any_more_pays_nothing"),
        ("billing/pay.py", "        listed = client.get_client_invoices()\n        now =", "        listed = listed if number else client.get_client_invoices()\n        now =", "test_what_was_paid_elsewhere_meanwhile_is_not_sent"),
        ("billing/pay.py", "    if len(rows) > 1:", "    if False:", "test_an_invoice_that_is_listed_twice_is_not_paid"),
    ),
    promise(
        "A plan never costs more than it may.",
        ("billing/plan.py", "        total = add_exactly(total, invoice.amount or Decimal(0))\n", "        total = invoice.amount or Decimal(0)\n", "test_pay_open"),
        ("billing/plan.py", "invoice.amount > max_each", "False", "test_limits_leave_out_and_never_exceed"),
    ),
    promise(
        "Sums keep currencies apart, and say what has no amount.",
        ("billing/money.py", "currency = fold_currency(invoice.invoices_currency)", 'currency = ""', "test_totals_never_add_different_currencies"),
        ("billing/money.py", "self.unknown + is_unknown", "self.unknown", "test_an_unknown_amount_is_told_in_the_summary"),
    ),
    promise(
        "No decimal context of the caller's changes a sum.",
        ("billing/money.py", "return _EXACT.add(first, second)", "return first + second", "test_no_context_of_the_callers_changes_a_total"),
    ),
    promise(
        "An invoice is overdue from the day after its due date.",
        ("models.py", "days is not None and days < 0", "days is not None and days <= 0", "test_what_a_day_says"),
        ("billing/due.py", "    if days < 0:", "    if days <= 0:", "test_due_filters"),
        ("billing/due.py", 'return "due_soon" if days <= within else "later"', 'return "due_soon" if days < within else "later"', "test_due_filters"),
    ),
    # --- what is wrong in the bills --------------------------------------------------------------
    promise(
        "What is wrong in the bills is found to the day and to the cent.",
        ("billing/audit.py", "row.moment - twin.moment < _MIN_RENEWAL", "row.moment - twin.moment <= _MIN_RENEWAL", "test_findings"),
        ("billing/audit.py", "    if over > 0:", "    if over >= 0:", "test_findings"),
        ("billing/audit.py", "days >= _UNBILLED_DAYS", "days > _UNBILLED_DAYS", "test_findings_by_the_services"),
    ),
    promise(
        "Refunds count against payments, and currencies are not mixed.",
        ("billing/audit.py", "            amount = row.amount.copy_abs().copy_negate() if is_refund else row.amount\n", "            amount = row.amount\n", "test_findings"),
        ("billing/audit.py", "if row.amount is not None and row.currency == charge.currency:", "if row.amount is not None:", "test_findings"),
        ("billing/ledger.py", "        elif not payment.invoice.invoices_deleted:", "        else:", "test_findings"),
    ),
    promise(
        "Deleted rows are left out, and the same row twice counts once.",
        ("billing/ledger.py", "            if not row.invoice.invoices_deleted:", "            if True:", "test_findings"),
        ("billing/ledger.py", "if first is not invoice and first != invoice:", "if first is not invoice:", "test_findings"),
    ),
    promise(
        "The order of records does not change what is found.",
        ("billing/ledger.py", "            versions = sorted(same, key=lambda one: (bool(one.invoices_deleted), repr(one)))\n", "            versions = list(same)\n", "test_findings"),
        ("billing/audit.py", "        group.sort(key=order_by_date)\n", "", "test_findings"),
        ("billing/audit.py", "moment, one.invoices, _RANKS[one.kind], one.text, rest", "moment", "test_the_order_of_rows_changes_nothing"),
    ),
    promise(
        "What is charged twice, listed twice or open though it was paid is not paid by a plan.",
        ("billing/plan.py", "        if reason is None and invoice.invoices_id in findings:", "        if False:", "test_what_is_wrong_is_left_out_with_the_finding"),
        ("billing/pay.py", "        _require_nothing_new(now, listed, plan)\n", "", "test_what_became_wrong_since_the_plan_is_not_paid"),
    ),
    promise(
        "A check counts apart what must not be paid, and warns of it.",
        ("cli/commands/check.py", 'lists["wrong" if findings else state]', "lists[state]", "test_what_is_wrong_is_counted_apart_and_named"),
        ("cli/commands/check_formats.py", "self.due_soon or self.undated or self.wrong", "self.due_soon or self.undated", "test_what_is_wrong_is_counted_apart_and_named"),
    ),
    promise(
        "An audit ends with 1 where something is wrong.",
        ("cli/commands/audit.py", 'REFUSED if counts["wrong"] else OK', "OK", "test_what_is_wrong_is_exit_code_1"),
    ),
    promise(
        "Clients in other languages are bound by the sandbox's WSDL.",
        ("sandbox/wsdl.py", 'soapAction="urn:myapi#{{0}}"', 'soapAction="{{0}}"', "test_it_says_of_each_operation_what_the_providers_says"),
        ("sandbox/wsdl.py", 'wsdl:arrayType="tns:{0}[]"', 'wsdl:arrayType="tns:{0}"', "test_it_says_of_each_operation_what_the_providers_says"),
    ),
    # --- exit codes ----------------------------------------------------------------------------
    promise(
        "An unknown outcome ends with 5.",
        ("cli/exit_codes.py", "    ((OutcomeUnknown, OutcomeUncertain), UNKNOWN),\n", "    (OutcomeUncertain, UNKNOWN),\n", "test_a_signal_in_the_middle_of_a_change_says_that_it_may_have_happened test_an_unknown_outcome_is_code_5_and_says_so"),
    ),
    promise(
        "When it happened and only the output failed, the exit code says so.",
        ("cli/exit_codes.py", "    (OutputFailed, OUTPUT_FAILED),\n", "", "test_what_happened_is_told_though_the_output_fails"),
    ),
    promise(
        "A network error ends with 4, a wrong password with 3.",
        ("cli/exit_codes.py", "    (TransportError, NETWORK),\n", "", "test_network_errors_are_code_4"),
        ("cli/exit_codes.py", "    (AuthenticationError, AUTHENTICATION),\n", "", "test_password_from_stdin"),
    ),
    promise(
        "An interruption ends as the signal would have ended the command.",
        ("cli/signals.py", "    os.kill(os.getpid(), number)\n", "    return 1\n", "test_a_signal_before_or_without_a_change_ends_as_it_always_did"),
    ),
    promise(
        "Exit codes do not depend on stderr.",
        ("cli/main.py", "        if getattr(sys, name) is None:", "        if False:", "test_exit_codes_do_not_depend_on_stderr"),
    ),
    promise(
        "`check` says UNKNOWN and 3 for whatever it could not find out.",
        ("cli/commands/check.py", "    return UNKNOWN\n", "    return 1\n", "test_output_that_fails_is_never_ok test_as_a_process_it_ends_with_its_codes"),
        ("cli/commands/check.py", "selection.iter_results(fetch, (Exception,))", "selection.iter_results(fetch)", "test_a_defect_of_one_account_hides_no_other"),
        ("cli/commands/check_formats.py", "        if self.failed:\n            return UNKNOWN\n", "", "test_accounts_are_named_and_a_failure_is_unknown"),
    ),
    promise(
        "`check` ends with its codes whatever signal ends it, in the form and the file that were asked for.",
        ("cli/main.py", "                    first_signal.watch(args.timeout)\n", "                    pass\n", "test_a_signal_tells_its_line"),
        ("cli/commands/check.py", '    form = find_given(args, "--format") or "text"\n', '    form = "text"\n', "test_any_exception_is_unknown_in_the_form_and_the_file_that_were_asked_for"),
        ("cli/commands/check.py", '    path = find_given(args, "--output")\n', "    path = None\n", "test_wrong_usage_is_told_in_the_file_too"),
    ),
    promise(
        "A known overdue invoice is CRITICAL, whatever became of other accounts.",
        ("cli/commands/check_formats.py", "        if self.overdue:\n            return _CRITICAL\n        if self.failed:\n            return UNKNOWN\n", "        if self.failed:\n            return UNKNOWN\n        if self.overdue:\n            return _CRITICAL\n", "test_accounts_are_named_and_a_failure_is_unknown"),
    ),
    promise(
        "A check takes no longer than its limit, however many accounts there are.",
        ("cli/accounts.py", "            call.limit(self.limit)\n", "            pass\n", "test_a_call_ends_by_the_limit_of_the_check"),
        ("cli/accounts.py", "if self._limit is not None and self._limit.remaining() <= 0:", "if False:", "test_the_limit_is_one_for_the_whole_check"),
    ),
    promise(
        "An option that is given is used, or it is wrong usage.",
        ("cli/parser.py", "        if name not in options:", "        if False:", "test_what_is_given_and_not_used_is_wrong_usage"),
        ("cli/parser.py", "        if len(texts) > 1 and not option.is_repeatable:", "        if False:", "test_a_mail_to_two_is_sent_to_neither"),
        ("cli/parser.py", "            if other in args.given:", "            if False:", "test_what_is_given_and_not_used_is_wrong_usage"),
    ),
    promise(
        "An empty option, and one that goes with another that is not there, are wrong usage.",
        ("cli/parser.py", "isinstance(t, str) and not t.strip() for t in texts", "False for t in texts", "test_what_is_given_and_not_used_is_wrong_usage"),
        ("cli/parser.py", "        if option.needs and not any(other in args.given for other in option.needs):", "        if False:", "test_what_is_given_and_not_used_is_wrong_usage"),
    ),
    promise(
        "No message repeats a word that may be a secret.",
        ("cli/parser.py", "        if unknown:\n", "        if False:\n", "test_a_password_among_the_arguments_is_neither_taken_nor_shown"),
        ("cli/parser.py", "        raise _add_hint(self.args, message.partition(\" '\")[0])", "        raise _add_hint(self.args, message)", "test_a_password_among_the_arguments_is_neither_taken_nor_shown"),
        ("cli/parser.py", "    is_hidden = is_behind_option or name.startswith(\"-\")\n", "    is_hidden = False\n", "test_a_password_among_the_arguments_is_neither_taken_nor_shown"),
    ),
    promise(
        "A password is the first line in UTF-8, with or without a mark, wherever it comes from.",
        ("secret.py", "data.removeprefix(_BOM)", "data", "test_all_sources_are_read_alike"),
        ("cli/passwords.py", "            elif is_over:", "            elif False:", "test_a_program_is_done_when_it_ends_whatever_its_children_keep"),
        ("cli/passwords.py", "            os.killpg(process.pid, signal.SIGKILL)\n", "            process.kill()\n", "test_what_a_program_started_ends_with_it_when_it_takes_too_long"),
    ),
    promise(
        "Ids, days and amounts are never cut.",
        ("cli/tables.py", "_CUT = (Kind.TEXT, Kind.NAME)", "_CUT = (Kind.TEXT, Kind.NAME, Kind.DAY, Kind.MONEY)", "test_texts_give_way_then_names_then_whole_columns"),
        ("cli/tables.py", "        if limit is not None and _measure_line([*widths.values()]) > limit:", "        if False:", "test_texts_give_way_then_names_then_whole_columns"),
    ),
    promise(
        "Each number of a dump is given once, and replayed in its turn.",
        ("cli/dump.py", "            except FileExistsError:\n                continue\n", "            except FileExistsError:\n                pass\n", "test_runs_at_a_time_lose_no_exchange_and_give_no_number_twice"),
        ("sandbox/server.py", "sorted(os.listdir(folder), key=_sort_by_number)", "sorted(os.listdir(folder))", "test_responses_are_replayed_by_their_numbers"),
    ),
    promise(
        "A sum says how many amounts it does not know, in each form.",
        ("cli/commands/check_formats.py", '(("amounts", "amount"), ("unknown_amounts", "unknown"))', '(("amounts", "amount"),)', "test_unknown_amounts_are_told_beside_each_sum"),
        ("cli/commands/check_formats.py", "            if total.unknown:\n", "            if False:\n", "test_unknown_amounts_are_told_beside_each_sum"),
        ("cli/commands/check_formats.py", '                unknown.append(({**labels, "currency": currency}, total.unknown))\n', "", "test_unknown_amounts_are_told_beside_each_sum"),
    ),
    promise(
        "A closed pipe ends quietly.",
        ("cli/main.py", "    if isinstance(error, BrokenPipeError):", "    if False:", "test_a_closed_pipe_ends_quietly"),
    ),
    promise(
        "No control character reaches a terminal.",
        ("cli/main.py", 'return f"soapmail: {printable(account + record.getMessage())}"', 'return f"soapmail: {account + record.getMessage()}"', "test_a_message_of_the_log_moves_no_cursor"),
        ("cli/terminal.py", "    if sys.stdout.isatty():\n        text = _clean(text)\n", "", "test_one_writer_cleans_what_a_terminal_gets"),
    ),
    # --- forks and signals ---------------------------------------------------------------------
    promise(
        "After a fork each process has connections of its own.",
        ("session.py", "    return os.getpid(), _process\n", "    return 0, None\n", "test_a_child_uses_no_connection_of_its_parent"),
    ),
    promise(
        "A child that was forked while a response was read is not locked.",
        ("soap/element.py", "        if self._process != os.getpid():", "        if self._process == 0:", "test_a_fork_while_another_thread_reads_leaves_the_child_no_lock"),
    ),
    promise(
        "A child is known though it has the pid of its parent.",
        ("session.py", "    _process = object()\n\n\n_process", "    pass\n\n\n_process", "test_a_child_with_the_pid_of_its_parent_has_connections_of_its_own"),
    ),
    promise(
        "A login that the server refused, in whatever words, is not tried again for some seconds.",
        ("session.py", "(has_waited or time.monotonic() < self._refused_until)", "has_waited", "test_a_refused_login_is_not_tried_again_for_some_seconds"),
        ("session.py", "isinstance(error, _REFUSALS) or read_status() in _FORBIDDEN", "isinstance(error, AuthenticationError)", "test_a_refusal_in_other_words_is_one_too"),
    ),
    promise(
        "A login that was refused is refused for all that wait for it, and for some seconds.",
        ("session.py", "(has_waited or time.monotonic() < self._refused_until)", "time.monotonic() < self._refused_until", "test_all_that_wait_for_a_login_share_what_it_came_to"),
        ("session.py", "            if anew and has_waited and current is not None:\n                return current\n", "", "test_logins_that_are_asked_for_at_once_are_one"),
    ),
    promise(
        "A handler of a signal may use the same client.",
        ("session.py", "self._lock = threading.RLock()", "self._lock = threading.Lock()", "test_a_handler_may_log_in_while_a_login_is_under_way"),
    ),
    promise(
        "From the first byte of a change until its outcome is told, signals are held back.",
        ("cli/signals.py", "        if is_first and self._set_alarm(_GRACE_SECONDS):", "        if False:", "test_after_one_signal_the_response_is_waited_for_and_told"),
        ("cli/signals.py", "        if self._is_untold or self._held is None:", "        if self._held is None:", "test_a_signal_between_the_response_and_the_command_comes_after_its_word"),
        ("cli/signals.py", "signal.signal(number, signal.SIG_IGN if is_over else handler)", "signal.signal(number, handler)", "test_a_signal_between_the_response_and_the_command_comes_after_its_word"),
    ),
    promise(
        "A signal that was held back, or that somebody swallowed, stops before the next payment.",
        ("cli/signals.py", "        self._is_untold = False\n        if self._held is not None:\n            raise self._held\n", "        self._is_untold = False\n", "test_after_one_signal_the_response_is_waited_for_and_told"),
        ("cli/signals.py", "        if self._held is not None and not self._is_untold:\n            raise self._held\n", "", "test_a_signal_that_was_swallowed_before_a_payment_stops_it"),
    ),
    promise(
        "Printing that takes for ever can be stopped.",
        ("cli/signals.py", "        if self.is_telling and self._held is not None:", "        if False:", "test_a_signal_while_the_result_is_printed_does_not_hide_it"),
    ),
    promise(
        "An ignored signal stays ignored.",
        ("cli/signals.py", "        if signal.getsignal(number) in (signal.SIG_DFL, signal.default_int_handler)\n", "", "test_an_ignored_signal_stays_ignored"),
    ),
]  # fmt: skip


def main() -> int:
    """Judge all promises, or changes by rule; return whether one of them was not noticed."""
    parser = argparse.ArgumentParser(prog="python -m tests.promises")
    parser.add_argument("words", nargs="*", help="of the promises that are to be tried")
    parser.add_argument("--random", type=int, metavar="N", help="N changes by rule instead")
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    if args.random is not None:
        return _try_random(args.random, args.seed)
    wanted = [one for one in PROMISES if all(word in one.sentence for word in args.words)]
    if not wanted:
        parser.error(f"no promise has {' '.join(args.words)}")
    return _try_promises(wanted)


def _try_promises(wanted: Sequence[Promise]) -> int:
    started = time.monotonic()
    problems: list[str] = []
    sentences: dict[Mutation, tuple[str, Change]] = {}
    tasks = []
    for one in wanted:
        for change in one.changes:
            try:
                mutation, tests = locate(change), [find_test(name) for name in change.tests]
            except LookupError as error:
                problems.append(f"{one.sentence} {error}")
                continue
            sentences[mutation] = one.sentence, change
            tasks.append(Task(mutation, [tests], stops_at_first=False))
    controls = make_controls(test for task in tasks for test in task.tests[0])
    killed = 0
    for verdict in judge_all([*controls, *tasks]):
        if verdict.task.mutation == NOTHING:
            if verdict.word != "survived":
                problems.append(_describe_control(verdict))
            continue
        sentence, change = sentences[verdict.task.mutation]
        blind = [
            name
            for name in change.tests
            if not any(re.search(rf"::{name}\b", failed) for failed in verdict.failed)
        ]
        if verdict.word != "killed":
            problems.append(f"{sentence} {verdict.word}: {verdict.task.mutation}")
        elif blind:
            problems.append(f"{sentence} not seen by {', '.join(blind)}: {verdict.task.mutation}")
        else:
            killed += 1
    for problem in problems:
        print(f"- {problem}")
    minutes, seconds = divmod(round(time.monotonic() - started), 60)
    print(
        f"{len(wanted)} promises, {sum(len(one.changes) for one in wanted)} changes, {killed} killed"
        f" in {minutes} min {seconds} s"
    )
    return bool(problems)


def locate(change: Change) -> Mutation:
    """Find the one place of a change; LookupError: it fits the code no more."""
    source = (PACKAGE / change.module).read_text(encoding="utf-8")
    if source.count(change.before) != 1:
        times = source.count(change.before)
        raise LookupError(f"stands {times} times in {change.module}: {change.before!r}")
    start = source.index(change.before)
    line = source.count("\n", 0, start) + 1
    return Mutation(change.module, start, change.before, change.after, line)


def find_test(name: str) -> str:
    """Return the id by which pytest knows a function of the tests."""
    if name not in _index_tests():
        raise LookupError(f"there is no test {name}")
    return f"{_index_tests()[name]}::{name}"


@cache
def _index_tests() -> dict[str, str]:
    """Return the file of each function of the tests."""
    return {
        name: path.relative_to(ROOT).as_posix()
        for path in sorted((ROOT / "tests").rglob("test_*.py"))
        for name in re.findall(r"(?m)^def (test_\w+)\(", path.read_text(encoding="utf-8"))
    }


def _try_random(count: int, seed: int) -> int:
    words: Counter[str] = Counter()
    are_sound = True
    for verdict in judge_random(count, seed):
        if verdict.task.mutation == NOTHING:
            if verdict.word != "survived":
                are_sound = False
                print(f"- {_describe_control(verdict)}", flush=True)
            continue
        words[verdict.word] += 1
        if verdict.word != "killed":
            print(f"- {verdict.word}: {verdict.task.mutation}", flush=True)
    print(f"seed {seed}: {words.total()} changes, {dict(words)}")
    return words["killed"] < words.total() or not are_sound


def _describe_control(verdict: Verdict) -> str:
    return f"without a change: {verdict.word} {', '.join(verdict.failed)}"


if __name__ == "__main__":
    sys.exit(main())
