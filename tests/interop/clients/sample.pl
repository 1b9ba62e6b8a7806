#!/usr/bin/perl -w
# The seed document's sample with SOAP::Lite, without a WSDL.
use strict;
use JSON::PP;
use SOAP::Lite;

my ($endpoint, $username, $password) = @ARGV;
my $client = SOAP::Lite->uri("urn:myapi")->proxy($endpoint);
my $sid = $client->api_login($username, $password)->result;
if (length($sid) == 0) {
    print "Got A Blank Session";
    exit;
}
my $res = $client->api_mail_get_client_invoices($sid);
die $res->faultstring if ($res->fault);
print JSON::PP->new->ascii->encode([map { +{%$_} } @{$res->result}]);
