<?php
// The seed document's sample with PHP's SoapClient, without a WSDL.
[, $endpoint, $username, $password] = $argv;
$client = new SoapClient(null, ["location" => $endpoint, "uri" => "urn:myapi"]);
$sid = $client->api_login($username, $password);
if (strlen($sid) == 0) {
    die("Got A Blank Session");
}
echo json_encode($client->api_mail_get_client_invoices($sid));
