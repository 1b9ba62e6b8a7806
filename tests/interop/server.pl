#!/usr/bin/perl
# The login and the lists by SOAP::Lite; what it lists is in the JSON file that its argument names.
use strict;
use warnings;
use JSON::PP;
use SOAP::Transport::HTTP;

package Service;

BEGIN { $INC{"Service.pm"} = $0 }
my $session = "e720445786c7735aa64392f987db2fad";

sub rows {
    open my $file, "<", $ARGV[0] or die $!;
    local $/;
    return JSON::PP::decode_json(<$file>);
}

sub listed {
    my ($operation, $sid) = @_;
    die SOAP::Fault->faultcode("Client")->faultstring("Invalid Session ID") if $sid ne $session;
    return rows()->{$operation};
}

sub api_login {
    my ($class, $username, $password) = @_;
    my $known = $username eq 'user@example.com' && $password eq 'p&ss<w>ord';
    return SOAP::Data->type(string => $known ? $session : "");
}

sub api_mail_get_client_invoices { listed("api_mail_get_client_invoices", $_[1]) }
sub api_mail_get_client_unpaid_invoices { listed("api_mail_get_client_unpaid_invoices", $_[1]) }
sub api_mail_get_services { listed("api_mail_get_services", $_[1]) }
sub api_get_prepay_list { listed("api_get_prepay_list", $_[1]) }
sub get_modules { [ "domains", "mail" ] }

package main;

my $daemon = SOAP::Transport::HTTP::Daemon->new(LocalAddr => "127.0.0.1", LocalPort => 0);
$| = 1;
print $daemon->url, "\n";
$daemon->dispatch_with({ "urn:myapi" => "Service" })->handle;
