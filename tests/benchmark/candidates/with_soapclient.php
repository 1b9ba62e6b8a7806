<?php
// The same with PHP's SoapClient.
ini_set("memory_limit", "-1");
ini_set("soap.wsdl_cache_enabled", "0");
$client = new SoapClient($argv[1] . "?wsdl", ["keep_alive" => true]);
$sid = $client->api_login("user@example.com", "secret");
$invoices = $client->api_mail_get_client_invoices($sid);
echo count($invoices), " ", array_sum(array_map(fn($one) => $one->invoices_id, $invoices)), "\n";
