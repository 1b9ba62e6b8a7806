"""What stands below the options in the help of commands."""

from __future__ import annotations

EXIT_CODES = """\
exit codes:
  0    done
  1    refused, a wrong response, no such thing, or a file error
  2    wrong usage, missing credentials or packages included
  3    the server does not accept username and password
  4    no usable response from the network
  5    it may or may not have happened: check before repeating
  6    it happened, and only the output failed
  130  interrupted; SIGTERM and SIGHUP end it as signals do
check has exit codes of its own: see soapmail check --help

Username and password come from SOAPMAIL_USERNAME and SOAPMAIL_PASSWORD (or the
first line of the file SOAPMAIL_PASSWORD_FILE), --username, --password-stdin, or
a prompt on a terminal. SOAPMAIL_ENDPOINT is another endpoint. Accounts by name
stand in SOAPMAIL_CONFIG, else in soapmail/accounts.ini in XDG_CONFIG_HOME or
~/.config: a section an account, with username, endpoint and password_command.
SOAPMAIL_ACCOUNT names the one that is meant where no option says otherwise."""
DUE = """\
Due dates have no time zone: whole days are compared with the date of this
machine, or with --today. What is due today is not overdue before tomorrow. An
open invoice without a due date that can be read may be due, and is told of."""
CHECK = f"""\
exit codes, those of a monitoring plugin:
  0    OK        nothing is due
  1    WARNING   due today, or within --due-within days, or on no known day;
                 or charged twice, listed twice or open though it was paid
  2    CRITICAL  overdue
  3    UNKNOWN   no response, wrong login, wrong usage

Open invoices of services that are expired or canceled are counted apart, and
are no alarm, unless --all-services. --timeout limits the whole check.

{DUE}"""
PAY = """\
pay --open first shows what it would pay, in the order of the due dates. Without
--yes it then asks on a terminal; without a terminal it pays nothing. --due-within
also takes what is overdue. Invoices of services that are expired or canceled are
left out, unless --all-services, and so is what audit finds charged twice,
listed twice or open though it was paid.

A journal keeps an invoice from being paid twice: each payment is on the disk
before its request leaves. There is one for each endpoint and user name, in the
folder soapmail of XDG_STATE_HOME or ~/.local/state. If a run ends with 5, look
at the account, then say what became of the payment: soapmail journal settle."""
JOURNAL = """\
A payment whose outcome is unknown is an open question. pay looks it up in the
server's list; where that does not help, look at the account, and settle it. A
line that was cut off and names no invoice stops all payments: settle the invoice
that it was about or, if it was about none, any unpaid one as unpaid. reopen makes
a recorded outcome an open question again."""
AUDIT = """\
Levels: wrong (money or truth is at stake) and look. The exit code is 1 where
something is wrong, else 0. pay --open leaves out what is charged-twice, open-
though-paid or listed-twice. --columns kind,text shows each as a sentence, as the
formats for programs do."""
SUMMARY = """\
Currencies are never added. By status, deleted charges and payments count too. A
table ends with the totals of all accounts."""
